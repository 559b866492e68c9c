"""One module per verb: each puts the packages below it together."""
