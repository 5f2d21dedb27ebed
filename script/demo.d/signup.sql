-- a new user, whose name and profile are not plain ASCII
INSERT INTO shop.users (name, tags, profile)
SELECT (ARRAY['Zoë', 'Ali "Baba"', 'O''Neill', '李雷', 'Jürgen'])[1 + n % 5] || ' ' || n,
	CASE WHEN n % 3 = 0 THEN '{}' ELSE ARRAY['tag ' || n % 7, 'a,b'] END,
	CASE WHEN n % 4 = 0 THEN NULL ELSE jsonb_build_object('level', n % 10, 'likes', ARRAY['tea', 'C:\']) END
FROM (SELECT (random() * 100000)::int AS n) AS dice;
