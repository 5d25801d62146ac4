"""Networks: one file each; layers that three or more share."""
