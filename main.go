// Command backstitch streams a legacy system's users and tenants into Stytch.
package main

import (
	"os"

	"github.com/backstitch/backstitch/pipeline/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
