"""What a model's tokens cost: rate cards as plain data, and the price book which finds them."""
