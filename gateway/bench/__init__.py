"""The bench: where a manufacturer fits, measures, compares, releases and explains the models of a slot."""
