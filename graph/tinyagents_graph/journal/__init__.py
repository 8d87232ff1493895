"""The journal: what keeps run trees, so that they outlive their process."""
