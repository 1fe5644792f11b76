"""What an operator configures: the settings that hold for a peer, and the file that has them.

`policy` is what holds for one peer, `model` what the whole file says. `file` makes data of a text,
`validation` a model of data; `reader` reads one value, and collects every mistake.
"""

from .model import Config, ConfigError, EdgeSettings, Peer, Problem, address_of, host_of
from .policy import ExpiryAction, Mode, Policy
from .validation import is_door_address, validate

__all__ = [
    "Config",
    "ConfigError",
    "EdgeSettings",
    "ExpiryAction",
    "Mode",
    "Peer",
    "Policy",
    "Problem",
    "address_of",
    "host_of",
    "is_door_address",
    "validate",
]
