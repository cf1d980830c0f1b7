"""What tests of services need: time that jumps, chance that is scripted, fixtures that bring them."""
