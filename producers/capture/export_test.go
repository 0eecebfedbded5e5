package capture

// Again is a new source with another's configuration, for what survives a restart.
func Again(s *Source) *Source {
	deps := s.deps
	deps.Metrics = nil
	return New(s.cfg, deps)
}
