"""From an architecture to its accuracies: supernet evaluators, rewards and worker processes."""
