// Package script plays the commands as a person types them: what each prints on
// standard output and on standard error, and the code it exits with.
//
// A script is a file of testdata/script in the format of testscript. Besides the
// commands that testscript has, it may say:
//
//	world example [TEAMS]     a legacy system with the README's tables, everything that
//	                          a run needs, and acme.yaml, which joins them
//	world empty               the same without tables and without acme.yaml
//	sql legacy|ledger SQL     run SQL there; SQL may be the name of a file
//	edit FILE OLD NEW         replace what stands in a file once; \n is a new line
//	backstitch ARGS           run the binary, which must exit with 0
//	exits CODE ARGS           run the binary, which must exit with CODE
//	start NAME ARGS           run the binary beside the script
//	said NAME REGEXP          wait until that process has printed it
//	ends NAME CODE [SIGNAL]   send a signal, wait for the end
//	caughtup                  wait until a running pipeline has applied everything
//	drained                   wait until the apply topics are read
//	position VARIABLE         where the legacy system's log stands
//	clean                     Stytch is what the mapping makes of the legacy system
//	stytch ORGS MEMBERS       that many are in Stytch
//	database VARIABLE         an empty database, and its URL
//	slots N                   that many replication slots are on the legacy database
//	role NAME                 give a role of the legacy system a password; its URL is
//	                          LEGACY_AS_ROLE
//	lose KEY                  delete the members with this external id in Stytch
//	keys NAME                 write NAME.key and NAME.pub, to sign with
//
// What the binary prints is masked before it is compared: names, addresses, times and
// positions of a test's own become the same in every run (see mask). The file raw holds
// standard output as it was. Where -o json is
// asked for, standard output has to be JSON.
//
// `go test ./integration/script -update` writes what was printed into the scripts.
package script
