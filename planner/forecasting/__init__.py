"""How good would forecasts have been? Traces, and the scores of predictors on them."""
