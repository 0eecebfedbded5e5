package jvmkafka

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
)

// ConsumerGroups runs kafka-consumer-groups and returns what it prints.
func ConsumerGroups(ctx context.Context, args ...string) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", ErrNoJVM
		}
	}
	lib, err := jars(ctx, "tools.xml", "kafka-tools-4.3.1")
	if err != nil {
		return "", err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "java", append([]string{
		"-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", lib + "/*", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kafka-consumer-groups: %w: %s", err, tail(append(out, stderr.Bytes()...)))
	}
	return string(out), nil
}
