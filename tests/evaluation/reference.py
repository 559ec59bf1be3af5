"""J and F written from their definition, slow and plain."""

import numpy as np


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower right neighbour; the last row and column are repeated."""
    padded = np.pad(mask != 0, ((0, 1), (0, 1)), "edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    rows, columns = np.indices(mask.shape)
    result = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        result |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return result


def reference_j(predicted: np.ndarray, truth: np.ndarray) -> float:
    union = int((predicted | truth).sum())
    return int((predicted & truth).sum()) / union if union else 1.0


def reference_f(predicted: np.ndarray, truth: np.ndarray, radius: int) -> float:
    a, b = boundary_map(predicted), boundary_map(truth)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = int((a & dilated(b, radius)).sum()) / int(a.sum())
    recall = int((b & dilated(a, radius)).sum()) / int(b.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
