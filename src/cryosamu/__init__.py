"""CryoSAMU: structure-aware multimodal enhancement of cryo-EM maps at 4–8 Å."""
