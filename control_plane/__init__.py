"""The rollout itself: which phase we are in, who may change it, and the ground everything else stands on."""
