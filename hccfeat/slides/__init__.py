"""Slides: readers, tissue, patches, stain normalisation and augmentation."""
