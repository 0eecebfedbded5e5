import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/** Reads what comes; its second task fails as it starts. */
public class FailSink extends SinkConnector {
    private Map<String, String> config;

    @Override public void start(Map<String, String> config) { this.config = config; }
    @Override public void stop() { }
    @Override public String version() { return "1.0"; }
    @Override public Class<? extends Task> taskClass() { return T.class; }

    @Override public ConfigDef config() {
        return new ConfigDef().define("fail", ConfigDef.Type.STRING, "never", ConfigDef.Importance.HIGH, "when");
    }

    @Override public List<Map<String, String>> taskConfigs(int most) {
        List<Map<String, String>> all = new ArrayList<>();
        for (int i = 0; i < most; i++) {
            Map<String, String> own = new HashMap<>(config);
            own.put("i", String.valueOf(i));
            all.add(own);
        }
        return all;
    }

    public static class T extends SinkTask {
        @Override public String version() { return "1.0"; }
        @Override public void stop() { }
        @Override public void put(Collection<SinkRecord> records) { }

        @Override public void start(Map<String, String> config) {
            if (config.get("i").equals("1")) {
                throw new RuntimeException("held: why. fix");
            }
        }
    }
}
