"""What a registry file may say: strict YAML, the keys of a row, and the rules between them."""
