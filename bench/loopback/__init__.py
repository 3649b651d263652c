"""The other end of every measurement: as lean as Python allows, in a process of its own, the same for both sides."""
