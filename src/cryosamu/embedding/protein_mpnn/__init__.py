"""The encoder of ProteinMPNN (Dauparas et al. 2022): offline, small, its weights shipped."""
