"""Getting a Dynamo deployment ready to be scaled: what its guide does by hand."""
