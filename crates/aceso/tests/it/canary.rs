//! No name and no plaintext reaches a disk, a log or a metric.
