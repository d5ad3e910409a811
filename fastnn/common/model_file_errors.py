"""What is wrong with a model file."""


class ModelFileError(ValueError):
    """A file that is no model of fastnn, or a damaged one, or one of a newer format."""


class OtherTrainingError(ModelFileError):
    """A file of another model or fit than the one that is to go on from it."""
