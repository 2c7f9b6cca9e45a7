from config.process import keep_small


def test_linear_algebra_gets_one_thread() -> None:
    environment: dict[str, str] = {}

    keep_small(environment)

    assert environment == {"OPENBLAS_NUM_THREADS": "1"}


def test_what_the_user_set_stays() -> None:
    environment = {"OPENBLAS_NUM_THREADS": "2"}

    keep_small(environment)

    assert environment == {"OPENBLAS_NUM_THREADS": "2"}
