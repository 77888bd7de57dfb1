# Sourced by the scripts that take something from the archive of Debian that apt uses: $archive, empty if it uses none.
archive=$(apt-get indextargets --format '$(REPO_URI)' "Label: Debian" "Component: main" 2> /dev/null | sed -n 1p || true)

# fetch_sources PACKAGE: its upstream sources, from the newest Debian of which they are to be had. They are taken
# without Debian's patches, by which an interpreter in another place does not find its packages.
fetch_sources() {
    local suite folder options
    [ -n "$archive" ] || { echo "apt uses no archive of Debian"; return 1; }
    for suite in sid forky trixie; do
        folder=$scratch/$1-$suite
        mkdir -p "$folder/lists/partial"
        echo "deb-src $archive $suite main" > "$folder/sources.list"
        options=(-o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
            -o "Dir::State::Lists=$folder/lists" -o APT::Sandbox::User=root)
        apt-get -qq "${options[@]}" update || continue
        (cd "$folder" && apt-get -qq "${options[@]}" source --download-only "$1") || continue
        mv "$folder"/*.orig.tar.xz "$scratch/$1.tar.xz" && return
    done
    echo "the archive has no sources of $1"
    return 1
}
