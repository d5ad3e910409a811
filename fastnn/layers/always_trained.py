"""What layers and models have in common: all of their weights are trained."""

from fastnn.common.declarations import Declared


class AlwaysTrained(Declared):
    """A layer or model, whose weights cannot be left out of a training."""

    name: str

    @property
    def trainable(self) -> bool:
        """True: all layers are trained; False cannot be assigned."""
        return True

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if not value:
            raise ValueError(
                f"trainable=False: fastnn trains all layers, and cannot leave out {self.name!r}; train a model of the "
                "other layers on the outputs of this one"
            )
