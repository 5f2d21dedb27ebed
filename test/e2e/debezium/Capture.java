// Capture: the Debezium connector for PostgreSQL, embedded, writes what it would send to Kafka into files.
//
//	java -cp 'JARS/*' Capture.java FILE.properties...
//
// Each file has the properties of one engine; two of them are ours: capture.output names the file of its events,
// capture.end a table whose first row ends it.  An event is a line of JSON: topic, key, value (as text, or null)
// and headers.
import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.Header;
import io.debezium.engine.format.Json;
import io.debezium.engine.format.KeyValueHeaderChangeEventFormat;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

public class Capture {
	private static final int AT_ONCE = 3;
	private static final long PATIENCE_SECONDS = 60;

	public static void main(String[] arguments) throws Exception {
		ExecutorService engines = Executors.newFixedThreadPool(AT_ONCE);
		List<Future<?>> running = new ArrayList<>();

		for (String file : arguments) {
			running.add(engines.submit(() -> {
				capture(Path.of(file));
				return null;
			}));
		}
		try {
			for (Future<?> one : running) {
				one.get();
			}
		}
		catch (Exception e) {
			e.printStackTrace();
			System.exit(1);
		}
		System.exit(0);
	}

	private static void capture(Path file) throws Exception {
		Properties properties = new Properties();
		try (Reader reader = Files.newBufferedReader(file, StandardCharsets.UTF_8)) {
			properties.load(reader);
		}
		Path output = Path.of((String) properties.remove("capture.output"));
		String end = (String) properties.remove("capture.end");
		CountDownLatch done = new CountDownLatch(1);
		AtomicReference<String> failure = new AtomicReference<>();

		try (BufferedWriter writer = Files.newBufferedWriter(output, StandardCharsets.UTF_8)) {
			DebeziumEngine<ChangeEvent<String, String>> engine = DebeziumEngine
					.create(KeyValueHeaderChangeEventFormat.of(Json.class, Json.class, Json.class))
					.using(properties)
					.using((success, message, error) -> {
						if (!success) {
							failure.compareAndSet(null, message + ": " + error);
						}
						done.countDown();
					})
					.notifying((events, committer) -> {
						for (ChangeEvent<String, String> event : events) {
							if (done.getCount() > 0) {
								if (event.destination().endsWith("." + end)) {
									done.countDown();
								}
								else {
									write(writer, event);
								}
							}
							committer.markProcessed(event);
						}
						committer.markBatchFinished();
					})
					.build();
			Thread thread = new Thread(engine);

			thread.start();
			if (!done.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
				failure.compareAndSet(null, "the end was not seen in " + PATIENCE_SECONDS + " s");
			}
			if (thread.isAlive()) {
				engine.close();
			}
			thread.join();
		}
		if (failure.get() != null) {
			throw new IOException(file + ": " + failure.get());
		}
	}

	private static void write(BufferedWriter writer, ChangeEvent<String, String> event) {
		StringJoiner headers = new StringJoiner(",", "{", "}");

		for (Header<?> header : event.headers()) {
			headers.add(quoted(header.getKey()) + ":" + header.getValue());
		}
		try {
			writer.write("{\"topic\":" + quoted(event.destination()) + ",\"key\":" + quoted(event.key()) +
					",\"value\":" + quoted(event.value()) + ",\"headers\":" + headers + "}\n");
		}
		catch (IOException e) {
			throw new IllegalStateException(e);
		}
	}

	private static String quoted(String text) {
		if (text == null) {
			return "null";
		}
		StringBuilder json = new StringBuilder("\"");
		for (char c : text.toCharArray()) {
			if (c == '"' || c == '\\') {
				json.append('\\').append(c);
			}
			else if (c < ' ') {
				json.append(String.format("\\u%04x", (int) c));
			}
			else {
				json.append(c);
			}
		}
		return json.append('"').toString();
	}
}
