package pipeline

import (
	"bytes"
	"testing"

	"github.com/backstitch/backstitch/pipeline/config"
)

// hazard A20: no secret is part of the key of digests. With one, its rotation would
// change every digest, and every password would be written again.
func TestDigestKeyOutlivesSecrets(t *testing.T) {
	key := func(set func(*config.Config)) []byte {
		cfg := &config.Config{Name: "acme"}
		cfg.Stytch.ProjectID, cfg.Stytch.Secret = "project-test-1", "one"
		cfg.Source.Postgres, cfg.Ledger = "postgres://one@127.0.0.1/legacy", "postgres://one@127.0.0.1/ledger"
		set(cfg)
		return applyConfig(cfg).DigestKey
	}
	first := key(func(*config.Config) {})
	rotated := key(func(cfg *config.Config) {
		cfg.Stytch.Secret = "two"
		cfg.Source.Postgres, cfg.Ledger = "postgres://two@127.0.0.2/legacy", "postgres://two@127.0.0.2/ledger"
	})
	if !bytes.Equal(first, rotated) {
		t.Error("the key follows a secret or an address")
	}
	if other := key(func(cfg *config.Config) { cfg.Stytch.ProjectID = "project-test-2" }); bytes.Equal(first, other) {
		t.Error("two projects have one key")
	}
}
