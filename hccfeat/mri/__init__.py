"""MRI exams: reading NIfTI and DICOM volumes, and making the network's input of them."""
