"""The nouns that every room shares, and the errors. Imports no other room; holds no behaviour that needs a model."""
