package capture

import "github.com/prometheus/client_golang/prometheus/testutil"

// Again is a new source with another's configuration, for what survives a restart.
func Again(s *Source) *Source {
	deps := s.deps
	deps.Metrics = nil
	return New(s.cfg, deps)
}

// Parts are what a source was made of.
func Parts(s *Source) (Config, Deps) { return s.cfg, s.deps }

// Commits is how many Kafka transactions a source has committed.
func Commits(s *Source) float64 { return testutil.ToFloat64(s.kafka.Commits) }
