"""Other tools' files of patch features: reading them, and writing ours as they do."""
