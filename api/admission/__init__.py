"""Who may buy now: waiting rooms as a pod has them, proofs of a turn, and who lets others in."""
