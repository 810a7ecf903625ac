"""How channels are followed through a graph, chosen for removal, and cut out."""
