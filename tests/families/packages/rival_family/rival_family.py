"""Claims the same architecture as the toy."""

from toy_family import Toy


class Rival(Toy):
    pass
