"""The networks: encoders by name through :func:`create`, and the prognostic nets of stage 2.

An encoder is one file here: a subclass of :class:`~hccfeat.models.base.Encoder` under
:func:`~hccfeat.models.registry.register`; nothing else needs an edit.
"""

from hccfeat.models.base import Encoder, EncoderOutput
from hccfeat.models.registry import create, names, register

__all__ = ["Encoder", "EncoderOutput", "create", "names", "register"]
