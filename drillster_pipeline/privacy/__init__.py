"""Where people stand in Drillster's responses, and how they are pseudonymized, masked or erased."""
