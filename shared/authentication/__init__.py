"""Who calls, and what they may do (PLT-30 to PLT-44)."""
