package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/backstitch/backstitch/consumers/ledger"
	"github.com/backstitch/backstitch/consumers/verify"
)

// verifyAgain compares Stytch with the ledger whenever the last comparison, of any
// instance or person, is older than the configuration says. It changes nothing, and an
// instance that stops leaves its run to the next one.
func (p *Pipeline) verifyAgain(ctx context.Context, stopping <-chan struct{}) error {
	if p.cfg.Verify.Every <= 0 {
		<-stopping
		return nil
	}
	return p.again(ctx, stopping, p.cfg.Verify.Every, "Stytch could not be compared with the ledger", p.verifyIfDue)
}

func (p *Pipeline) verifyIfDue(ctx context.Context) error {
	if p.state() != instanceRunning {
		return nil
	}
	last, err := ledger.LastVerification(ctx, p.pool)
	if err != nil || last != nil && time.Since(*last.Finished) < p.cfg.Verify.Every {
		return err
	}
	// connections of its own: the connectors' are few
	pool, err := ledger.Open(ctx, p.cfg.Ledger.Reveal(), p.cfg.Name+"-verify")
	if err != nil {
		return err
	}
	defer pool.Close()
	v, err := NewVerifier(p.cfg, p.clients, pool, VerifyOptions{
		By: p.instance.ID, Share: float64(p.cfg.Verify.Share) / 100, Logger: p.log,
	})
	if err != nil {
		return err
	}
	r, err := v.Run(ctx)
	if errors.Is(err, ledger.ErrVerifying) {
		return nil
	}
	if err != nil {
		return err
	}
	level := p.log.InfoContext
	if r.Verdict == verify.DriftFound {
		level = p.log.WarnContext
	}
	level(ctx, "Stytch was compared with the ledger; `backstitch verify` lists what was found", "verdict", r.Verdict, "run", r.Run, "lsn", r.LSN, "classes", r.Classes)
	return nil
}
