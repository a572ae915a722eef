"""What a pod is made of; `api.building` makes the parts, `api.pod` starts and stops them."""
