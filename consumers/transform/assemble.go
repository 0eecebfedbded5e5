package transform

// assemble makes the half that works from touched keys on, for one term.
func (t *Transform) assemble(plan *Plan, term int64) (*evaluator, *announcer, error) {
	teller, err := newAnnouncer(announcerConfig{
		Pool: t.deps.Ledger, Prefix: t.cfg.Prefix, Term: term, Kafka: t.deps.Kafka,
		Registry: t.deps.Registry, Log: t.log, Metrics: t.more,
	})
	if err != nil {
		return nil, nil, err
	}
	return newEvaluator(evaluatorConfig{
		Pool: t.deps.Ledger, Plan: plan, Term: term, Partitions: t.cfg.ApplyPartitions,
		Sweep: t.cfg.Sweep, AuditEvery: t.cfg.AuditEvery, KeyTimeout: t.cfg.KeyTimeout, PassTimeout: t.cfg.PassTimeout, Log: t.log, Metrics: t.more, Now: t.deps.Now, Changed: teller.notify,
		Passed: func(list []PassStatus) { t.set(func(s *Status) { s.Passes = list }) },
	}), teller, nil
}
