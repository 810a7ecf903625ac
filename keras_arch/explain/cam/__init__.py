"""Class activation maps: where in a layer's feature maps the target sees its evidence."""
