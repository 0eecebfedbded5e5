package config

import _ "embed"

//go:embed example.yaml
var example string

// Example is a commented configuration with every key.
func Example() string { return example }
