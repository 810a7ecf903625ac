"""Pure maths in keras.ops: formulas that hold without any layer."""
