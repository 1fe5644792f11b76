"""How the section `companion:` is read: its types and errors, the environment over it, where secrets are."""
