"""A cluster and a sentinel trio work, and go on when a master dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers._resp import Connection
from servers.testing import needed

if TYPE_CHECKING:
    from servers import RedisCluster, RedisSentinels, RedisServer


def test_a_cluster_has_three_masters_that_share_the_slots(redis_cluster: RedisCluster) -> None:
    assert len(redis_cluster.nodes) == 6
    assert redis_cluster.masters == redis_cluster.nodes[:3]
    keys = [f"key{number}" for number in range(30)]
    for key in keys:
        assert redis_cluster.master_of(key).command("SET", key, "x") == "OK"
    assert {redis_cluster.master_of(key) for key in keys} == set(redis_cluster.masters)
    assert redis_cluster.url.count(",") == 5


def test_a_replica_takes_over_from_a_master_of_a_cluster() -> None:
    from servers import RedisCluster

    with needed(), RedisCluster(node_timeout=300) as cluster:
        killed = cluster.master_of("kept")
        with killed.connect() as connection:
            connection.command("SET", "kept", "yes")
            connection.command("WAIT", "1", "5000")
        killed.kill()

        def is_served_again() -> bool:
            try:
                return cluster.master_of("kept") is not killed
            except LookupError:
                return False

        next(node for node in cluster.nodes if node.is_running).wait_until(is_served_again, "is served")
        assert cluster.master_of("kept").command("GET", "kept") == "yes"
        cluster.start()
        assert len(cluster.masters) == 3
        assert killed not in cluster.masters


def test_sentinels_lead_to_another_master_when_theirs_dies(redis_sentinels: RedisSentinels) -> None:
    with redis_sentinels.master.connect() as connection:
        connection.command("SET", "kept", "yes")
        connection.command("WAIT", "2", "5000")
    killed = redis_sentinels.kill_the_master()
    assert redis_sentinels.master is not killed
    assert redis_sentinels.master.command("GET", "kept") == "yes"


def test_sentinels_demote_a_master_that_is_well(redis_sentinels: RedisSentinels) -> None:
    demoted: RedisServer = redis_sentinels.fail_over()
    assert redis_sentinels.master is not demoted
    assert redis_sentinels.master.command("SET", "written", "yes") == "OK"
    places = redis_sentinels.url.removeprefix("redis+sentinel://").removesuffix("/records").split(",")
    for place in places:
        host, _, port = place.partition(":")
        with Connection((host, int(port))) as sentinel:
            assert sentinel.command("PING") == "PONG"
