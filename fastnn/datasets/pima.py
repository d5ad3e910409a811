"""Pima Indians diabetes."""

import os
import socket
import warnings

import numpy as np

from fastnn.datasets.published_file import Array, PublishedFile, numbers_of

PIMA_FEATURES = (
    "pregnancies",
    "glucose",
    "blood_pressure",
    "skin_thickness",
    "insulin",
    "bmi",
    "pedigree",
    "age",
)
"""Names of the eight columns of `load_pima`."""


def load_pima(path: str | os.PathLike[str] | None = None) -> tuple[Array, Array]:
    """Pima Indians diabetes: eight measurements of 768 women, and whether diabetes followed within five years.

    Parameters
    ----------
    path : path, optional
        The CSV file (plain, gzip or zip) or the folder that holds it. Default: look it up, see `fastnn.datasets`.

    Returns
    -------
    X : ndarray of shape (768, 8), float64
        Raw features in the order of `PIMA_FEATURES`; zeros in several columns stand for missing values.
    y : ndarray of shape (768,), int64
        1 for diabetes (268 rows), else 0.

    Raises
    ------
    FileNotFoundError
        If the file is nowhere to be had; the message says where to get it.
    ValueError
        If the file is not the published one.

    Notes
    -----
    J. W. Smith et al., "Using the ADAP learning algorithm to forecast the onset of diabetes mellitus", 1988.
    """
    return PIMA.load(path)


def _parse_pima(csv: bytes) -> tuple[Array, Array]:
    table = numbers_of(csv, np.float64, 9)
    return table[:, :8].copy(), table[:, 8].astype(np.int64)


def _pima_from_openml() -> bytes:
    """Get OpenML's data set 37 and write it as the published file, so that the same SHA-256 checks it."""
    from sklearn.datasets import fetch_openml

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # fetch_openml itself would wait for ever
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its remarks on retries; the last failure is reported
            data = fetch_openml(data_id=37, as_frame=False, cache=False, n_retries=1, delay=0.1)
    finally:
        socket.setdefaulttimeout(patience)
    row = "{:.0f},{:.0f},{:.0f},{:.0f},{:.0f},{:.1f},{:.3f},{:.0f},{:d}"
    rows = (row.format(*x, int(y == "tested_positive")) for x, y in zip(data.data, data.target, strict=True))
    return "\n".join(rows).encode()


PIMA = PublishedFile(
    "pima-indians-diabetes.csv",
    "6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af",
    _parse_pima,
    _pima_from_openml,
    "With a network it is fetched from OpenML (https://www.openml.org/d/37) by itself.",
)
