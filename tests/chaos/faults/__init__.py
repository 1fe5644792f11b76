"""The faults, by the part of the stack that they are done to; `listed` has all of them."""
