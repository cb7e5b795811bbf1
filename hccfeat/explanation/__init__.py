"""Where an encoder looks: class activation maps, channel ranking, whole-slide risk maps and their files."""
